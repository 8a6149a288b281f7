"""What is known of users and items now: profile state, interest shifts, online features."""
