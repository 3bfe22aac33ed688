"""The definitions of reports: their files, tables and schedules. For reports/ and above; imports delivery/."""
