/** What becomes of a report, for the label `result` of turnpike_collector_reports_total. */
export function countedAs(statusCode: number): string {
  if (statusCode === 207) return 'partial';
  if (statusCode < 300) return 'stored';
  if (statusCode === 429) return 'limited';
  if (statusCode === 401 || statusCode === 403) return 'refused';
  return statusCode < 500 ? 'invalid' : 'unavailable';
}
