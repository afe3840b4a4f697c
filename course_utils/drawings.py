"""Drawings that explain an idea, and whose code would teach nothing.

Each draws on a new figure; the chapter calls `plt.show()`.
"""

from __future__ import annotations
