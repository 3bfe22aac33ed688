"""The tables [endpoints.NAME]: servers, what they support, their limits and pools. For settings/ and all above."""
