"""Write a study's results for a paper: a table, numbers, the methods in words, references and figures."""
