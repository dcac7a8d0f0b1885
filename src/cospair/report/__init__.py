"""The report: a result dict becomes one HTML page that stands alone.

Decisions of this room:

- The page loads nothing. Style, scripts, charts and pictures are inside the file, and its content
  security policy forbids every request, so it opens the same by mail, from a disk or offline.
- Nothing is computed here that evaluation could have computed: figures are only written out. The
  slider looks its rates up among the curve's points and never invents one between two of them.
- A section that was not measured says so in words, or stands in the data card's list of what was
  not measured; it is never left out in silence.
- Every string of the result is data: it is escaped where it enters the markup (`markup.text`).
- What a chart shows, a table or sentence beside it says, for readers without sight, script or a
  pointer.
- The script lies in parts, one idea a file, which the page joins into one scope.
"""

from cospair.report.comparison import write_comparison
from cospair.report.embedding_map import embedding_map
from cospair.report.losses import write_loss_comparison
from cospair.report.single import write_report

__all__ = ["embedding_map", "write_comparison", "write_loss_comparison", "write_report"]
