"""Stage `look`: whether the user's own data changed; and `segline init`, which guesses what they are."""
