"""The table [dashboard]: what the pages show, and whether they can change something."""

from threadmill.job.model import InputModel


class DashboardSettings(InputModel):
    redact: bool = False  #: whether pages hide prompts, answers and the content of files
    read_only: bool = False  #: whether pages can change nothing
