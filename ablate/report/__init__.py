"""The report: from a folder's tables to sentences and pages. No torch."""
