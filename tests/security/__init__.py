"""What a security reviewer asks for beyond the tests of each room; README.md lists every requirement and its tests."""
