"""A contamination probe: has a model seen these problems before?

Two tests by Wu et al. 2025 ("Reasoning or Memorization? Unreliable Results of Reinforcement
Learning Due to Data Contamination", arXiv 2507.10532): given the first 40, 60 and 80 % of a
problem, can the model write the rest word by word, and can it answer a problem that it has not
been given whole? Fresh arithmetic problems, which nobody can have seen, are the control.
"""
