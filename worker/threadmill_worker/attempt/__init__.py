"""Attempts at jobs: one job from claim to result, and what it needs. Imports drivers, tools, store and below."""
