"""Tables, progress, notes and confirmations. For all commands; imports app.py."""
