"""The explorer: a page in the browser that shows what each layer of trained networks computes."""
