"""Figures. Each figure has one pure function that makes its data, and another one that only draws them."""

import logging
import os

os.environ["MPLBACKEND"] = "agg"  # figures go to files; a backend that the user chose could need a display
# Without a home folder, matplotlib would log several lines about its cache folder.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
