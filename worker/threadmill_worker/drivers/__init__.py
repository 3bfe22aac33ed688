"""Drivers: each speaks one wire format. Only modules in here import openai."""
