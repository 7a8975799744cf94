"""Who there is: users, groups, applications and their principals; how they prove themselves, and what they get."""
