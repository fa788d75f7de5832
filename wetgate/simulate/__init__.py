"""How film decays, and what a video of it kept: seedable simulation in dye density."""
