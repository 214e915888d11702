"""The Webex world against respx for shapes, and against raw sockets for bodies, deadlines and framing."""
