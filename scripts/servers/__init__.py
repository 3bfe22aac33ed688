"""Real servers with a small model behind them, and what threadmill is asked to do on each: see check_servers.py."""
