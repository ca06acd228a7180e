"""From video files to network input: decode, clip indices, clip-consistent transforms, frame store."""
