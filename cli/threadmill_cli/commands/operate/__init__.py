"""The commands of who runs workers and gateways, as the help lists them under Operate."""
