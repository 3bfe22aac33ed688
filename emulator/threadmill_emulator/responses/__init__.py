"""The Responses API: responses, conversations, their items. For objects/ and above; imports runs/ and below."""
