"""Files over HTTP: uploads of callers, artifacts of jobs, published reports. For all routes; imports requests/."""
