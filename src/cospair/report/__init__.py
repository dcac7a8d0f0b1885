"""The report: a result dict becomes one HTML page that stands alone.

Decisions of this room:

- The page loads nothing. Style, scripts, charts and pictures are inside the file, and its content
  security policy forbids every request, so it opens the same by mail, from a disk or offline.
- Nothing is computed here that evaluation could have computed: figures are only written out.
- A section that was not measured says so in words; it is never left out in silence.
- Every string of the result is data: it is escaped where it enters the markup (`markup.text`).
- What a chart shows, a table beside it says, for readers without sight, script or a pointer.
"""

from cospair.report.page import write_report

__all__ = ["write_report"]
