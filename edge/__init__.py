"""What an edge node does with the world: mesh, MQTT intake, journal, runtime."""
