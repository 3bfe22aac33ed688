"""The playground: a prompt becomes a job, and its page shows the conversation. form.py and saved.py are pure."""
