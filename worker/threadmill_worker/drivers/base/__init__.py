"""What the drivers of all APIs build on, and their interface. For the APIs and above; imports the rooms below."""
