"""Figures. One pure function makes a figure's data, and another function only draws them."""

import logging
import os

os.environ["MPLBACKEND"] = "agg"  # figures go to files: a backend that the user chose may need a display
# Without a home, matplotlib tells in several lines where its cache lies.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
