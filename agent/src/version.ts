/** The agent's version, as it tells the server; the package's. */
export const version = '0.1.0';
