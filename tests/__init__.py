"""The tests. This file keeps another project's installed package `tests` from hiding ours."""
