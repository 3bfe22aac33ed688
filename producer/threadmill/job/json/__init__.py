"""JSON that callers bring: what can be stored and sent, and schemas whose patterns are matched in linear time. PURE."""
