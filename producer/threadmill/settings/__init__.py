"""Settings from threadmill.toml and the environment: endpoints, tools, profiles. Imports job/ and redis/url.py."""
