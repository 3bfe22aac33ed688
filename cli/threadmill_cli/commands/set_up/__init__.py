"""The commands of who sets threadmill up, as the help lists them under "Set up"."""
