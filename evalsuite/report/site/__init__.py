"""The leaderboard site: static pages, pictures and downloads made of the entries of boards."""
