"""Callbacks: which addresses may be called, what is sent, how it is signed, and when it is tried again.

maintenance imports it; only post.py speaks to a server. It imports the producer's contract.
"""
