"""The content of messages, and how answers are generated. For runs/ and above; imports storage/ and below."""
