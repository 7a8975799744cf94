"""What the commands do, a module for each noun. A function takes the Call and returns what is printed."""
