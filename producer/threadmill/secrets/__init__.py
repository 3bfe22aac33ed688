"""Redacts secrets in texts. For all modules, even errors.py; imports no other module of threadmill."""
