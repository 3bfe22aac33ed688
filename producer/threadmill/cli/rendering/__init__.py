"""What commands show, and how they ask. For all commands; imports app.py."""
