"""Figures. One pure function makes a figure's data, and another function only draws them."""
