"""Makes pictures smaller, and finds those that show what an earlier one shows.

Nothing here is imported for a context of texts only, and importing these modules does not import Pillow: the first
picture that is decoded does. Pillow comes with the extra `images`.
"""
