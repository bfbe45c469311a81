"""Look at the user's own data: stage `look`, and the guesses of `segline init`."""
