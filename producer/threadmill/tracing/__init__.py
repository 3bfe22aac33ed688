"""Traces of jobs with OpenTelemetry, the extra [otel]. For all above; imports log, errors, installation, secrets."""
