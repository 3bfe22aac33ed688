"""Files, containers and vector stores. For content/ and above; imports schemas/, scripting/ and errors/."""
