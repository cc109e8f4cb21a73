"""The reference backend: plain torch, any device, differentiable any number of times.

It is the definition of right that every other backend is held against, so it prefers clarity and
accuracy to speed.
"""
