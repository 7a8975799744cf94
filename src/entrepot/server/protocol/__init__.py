"""HTTP as the API speaks it: uvicorn's protocol with bounds for clients, and short ways for short requests."""
