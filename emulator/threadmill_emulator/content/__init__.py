"""What messages hold and answers are made from. For runs/ and above; imports storage/ and below."""
