"""Operations that only the gateway needs. For store.py; imports connection.py."""
