"""From measurements to plans: what quality costs, what a device can play, what a network must carry."""
