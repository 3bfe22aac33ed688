"""Chat Completions: requests and answers, which are not kept. For objects/ and above; imports runs/ and below."""
