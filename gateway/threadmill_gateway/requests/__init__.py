"""What every request meets: limits, who calls and what they may do, the state, problems. Imports `options.py` alone."""
