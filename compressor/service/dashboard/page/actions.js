// What can happen to a message or a block, and the word for it.

export const ACTIONS = {
  kept: "kept",
  lossless: "lossless",
  excerpt: "excerpt",
  dropped: "dropped",
  index: "index",
  evicted: "evicted",
};
